/* The signals that end the service: SIGTERM, SIGINT, SIGHUP and SIGQUIT. */
#ifndef ENDING_H
#define ENDING_H

/* Starts the thread that waits for the signals. Called before any other thread is started, so that no thread is
 * interrupted by them. Until begin_serving a signal ends the process at once, as nothing was accepted yet. Returns 0
 * where the thread does not start. */
int watch_signals(void);

/* From now on await_signal takes the first signal, and another one ends the process at once. A SIGHUP after another
 * signal changes nothing: it says that the terminal or the supervisor goes away too. */
void begin_serving(void);

/* Waits for the first signal and returns its number. */
int await_signal(void);

#endif
