/* What the files of libyolact share. Functions that take or return Python objects need the GIL. */
#ifndef YOLACT_INTERNAL_H
#define YOLACT_INTERNAL_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "yolact.h"

/* error.c */

/* Keeps the sentence for yolact_last_error and returns the status. */
yolact_status fail(yolact_status status, const char* format, ...) __attribute__((format(printf, 2, 3)));

/* The same for the Python exception that is set, which it clears. */
yolact_status fail_with_exception(void);

/* python_runtime.c */

/* Starts Python unless the process runs it. Neither needs nor takes the GIL. */
yolact_status start_python(void);

/* Whether start_python was successful and Python still runs, so that the GIL can be taken. */
int python_runs(void);

/* yolact.runtime.capi.bridge, a new reference, or NULL with an exception set. */
PyObject* import_bridge(void);

/* The interpreter of the environment that is used. */
const char* python_environment(void);

/* handles.c */

/* The session (bridge.Session) behind a handle as a new reference, or NULL; sets no exception. */
PyObject* find_session(yolact_handle handle);

/* results.c */

/* What Session.infer returned, as one block of memory. */
yolact_status pack_results(PyObject* found, yolact_results** results);

#endif
