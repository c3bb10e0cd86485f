/* Where connections come from. libmicrohttpd could listen by itself, but closes what comes at its limit (0.9.75 and
 * 0.9.76 lock up where MHD_add_connection meets it), and at the end cannot say what it has yet to take. */
#ifndef LISTENER_H
#define LISTENER_H

#include <microhttpd.h>

#include "options.h"

enum { MOST_AT_THE_END = 8192 }; /* connections taken beyond the limit when the service ends */

/* Listens; 0 where that fails, which is reported. */
int open_listener(const options* settings);

/* Hands connections to the daemon from now on, as many as may be open, and prints where; 0 where there is no thread. */
int start_accepting(struct MHD_Daemon* daemon);

/* Takes what waits in the kernel's queue, and then no more. */
void stop_accepting(void);

int is_accepting(void);

#endif
