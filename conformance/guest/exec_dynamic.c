// subject: exec of a dynamically linked program: everything exec_args shows
// dynamic
#include "exec_args.c"
