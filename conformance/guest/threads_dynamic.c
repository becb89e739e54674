// subject: threads in a dynamically linked program
// dynamic
#include "threads.c"
