/* Functions that the files of libyolact share. A thread must hold the GIL to call those that take or return Python
 * objects. */
#ifndef YOLACT_INTERNAL_H
#define YOLACT_INTERNAL_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "yolact.h"

/* error.c */

/* Keeps the sentence for yolact_last_error and returns the status. */
yolact_status fail(yolact_status status, const char* format, ...) __attribute__((format(printf, 2, 3)));

/* Does the same for the Python exception that is set, and clears it. */
yolact_status fail_with_exception(void);

/* python_runtime.c */

/* Starts Python unless the process runs it already. The caller need not hold the GIL and is not given it. */
yolact_status start_python(void);

/* Whether start_python was successful and Python still runs, so that the GIL can be taken. */
int python_runs(void);

/* A new reference to the module yolact.runtime.capi.bridge, or NULL with an exception set. */
PyObject* import_bridge(void);

/* The interpreter of the environment that is used. */
const char* python_environment(void);

/* handles.c */

/* A new reference to the bridge.Session of a handle, or NULL, without an exception, where the handle is not open. */
PyObject* find_session(yolact_handle handle);

/* A number that no detector and no stream has had. */
yolact_handle next_number(void);

/* Keeps the sentence that a detector is not open. */
yolact_status fail_with_handle(const char* function, yolact_handle number);

/* infer.c */

/* Whether an image can be read, `index` being its number in sentences. */
yolact_status check_image(const yolact_image* image, size_t index);

/* An image that was checked as a new reference to a buffers.CImage, or NULL with an exception set. The pixels are not
 * copied. */
PyObject* image_as_python(const yolact_image* image);

/* results.c */

/* Copies what Session.infer returned for `count` images into one block of memory. */
yolact_status pack_results(PyObject* found, const yolact_image* images, size_t count, yolact_results** results);

#endif
