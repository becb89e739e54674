// subject: a signal storm over every call that the supervisor may be asked about, as root
// root
// timeout 150
#include "storm_every.h"
