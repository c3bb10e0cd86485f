/* Accepts connections and hands them to libmicrohttpd. That could listen by itself, but once its limit of connections
 * is reached it closes new ones instead of letting them wait, and 0.9.75 and 0.9.76 lock up where MHD_add_connection
 * meets the limit. When the service ends, it could not say either whether connections still wait in the kernel's queue.
 */
#ifndef LISTENER_H
#define LISTENER_H

#include <microhttpd.h>

#include "options.h"

enum { MOST_AT_THE_END = 8192 }; /* connections accepted beyond the limit when the service ends */
enum { MOST_LATE = 64 };         /* of them, those that come after the signal and are open at once */

/* Starts to listen. Returns 0, having reported why, where that fails. */
int open_listener(const options* settings);

/* Starts the thread that hands connections to the daemon, never more than may be open, and prints the address. Returns
 * 0 where the thread does not start. */
int start_accepting(struct MHD_Daemon* daemon);

/* From now on connections in the kernel's queue are accepted, also beyond the limit. Later ones are accepted as late:
 * health checks are to be told that the service ends, rather than be refused. */
void accept_late(void);

/* From now on connections in the kernel's queue are accepted, and none after them. */
void stop_accepting(void);

int is_accepting(void);

#endif
