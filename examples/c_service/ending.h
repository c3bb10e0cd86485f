/* The signals that end the service: SIGTERM, SIGINT, SIGHUP and SIGQUIT. */
#ifndef ENDING_H
#define ENDING_H

/* Starts the thread that waits for the signals. Called before any other thread is started, so that no thread is
 * interrupted by them. Until begin_serving a signal ends the process at once, as nothing was accepted yet. Returns 0
 * where the thread does not start. */
int watch_signals(void);

/* From now on the first signal is await_signal's, and another one ends the process at once. A SIGHUP that comes after
 * another signal is the terminal or the supervisor that goes away too, and changes nothing. */
void begin_serving(void);

/* Waits for the first signal and returns its number. */
int await_signal(void);

#endif
