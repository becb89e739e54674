// subject: a signal storm over every call that the supervisor may be asked about, by the table: a row without a case does not compile
// timeout 150
#include "storm_every.h"
