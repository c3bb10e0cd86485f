/* The open detectors and their numbers. A thread that reads or changes the list holds the GIL and runs no Python code
 * meanwhile.
 */
#include <stdlib.h>

#include "internal.h"

enum { MOST_THREADS = 1024 }; /* ONNX Runtime starts as many threads as it is told */

typedef struct open_handle {
    struct open_handle* next;
    yolact_handle number;
    PyObject* session;
    PyObject* class_names; /* tuple of bytes */
    int32_t max_batch;
} open_handle;

static open_handle* open_handles;
static yolact_handle last_number;

static open_handle* find(yolact_handle number)
{
    open_handle* entry = open_handles;
    while (entry && entry->number != number)
        entry = entry->next;
    return entry;
}

yolact_handle next_number(void) { return ++last_number; }

yolact_status fail_with_handle(const char* function, yolact_handle number)
{
    return fail(
        YOLACT_ERROR_HANDLE, "%s: expected an open handle, got %llu, which was closed or never given out", function,
        (unsigned long long)number);
}

PyObject* find_session(yolact_handle number)
{
    open_handle* entry = find(number);
    Py_XINCREF(entry ? entry->session : NULL);
    return entry ? entry->session : NULL;
}

static yolact_status check_options(const yolact_options* options)
{
    if (options->struct_size != sizeof *options)
        return fail(
            YOLACT_ERROR_ARGUMENT,
            "expected yolact_options.struct_size to be %zu, got %zu; start from YOLACT_OPTIONS_DEFAULT and compile the "
            "program with this library's header",
            sizeof *options, options->struct_size);
    if (!(options->score_threshold >= 0 && options->score_threshold <= 1))
        return fail(
            YOLACT_ERROR_ARGUMENT, "expected a score_threshold from 0 to 1, got %g", (double)options->score_threshold);
    if (options->top_k < 0)
        return fail(YOLACT_ERROR_ARGUMENT, "expected top_k of 0 (for all) or more, got %ld", (long)options->top_k);
    if (options->threads < 0 || options->threads > MOST_THREADS)
        return fail(
            YOLACT_ERROR_ARGUMENT, "expected threads from 0 (one per core) to %d, got %ld", MOST_THREADS,
            (long)options->threads);
    return YOLACT_OK;
}

/* The result of bridge.open_session, or NULL with an exception set. */
static PyObject* open_session(const char* path, const yolact_options* options)
{
    PyObject* bridge = import_bridge();
    PyObject* name = bridge ? PyUnicode_DecodeFSDefault(path) : NULL;
    PyObject* session = name ? PyObject_CallMethod(
                                   bridge, "open_session", "OdiyiOy", name, (double)options->score_threshold,
                                   (int)options->top_k, options->device, (int)options->threads,
                                   options->allow_host_code ? Py_True : Py_False, options->precision)
                             : NULL;
    Py_XDECREF(name);
    Py_XDECREF(bridge);
    return session;
}

/* The class names of a session as a new reference, and how many images it runs at once. Returns NULL with an exception
 * set where they are of other types or sizes: all later calls rely on these. */
static PyObject* read_session(PyObject* session, int32_t* max_batch)
{
    PyObject* names = PyObject_GetAttrString(session, "class_names");
    PyObject* batch = names ? PyObject_GetAttrString(session, "max_batch") : NULL;
    long long number = batch ? PyLong_AsLongLong(batch) : 0;
    int fits = number >= 1 && number <= INT32_MAX && PyTuple_Check(names) && PyTuple_Size(names) <= INT32_MAX;
    for (Py_ssize_t i = 0; fits && i < PyTuple_Size(names); i++)
        fits = PyBytes_Check(PyTuple_GetItem(names, i));
    if (!fits && !PyErr_Occurred())
        PyErr_SetString(
            PyExc_RuntimeError,
            "expected the bridge to give class names as bytes and a batch that fits into 32 bits; "
            "install yolact and libyolact of the same version");
    Py_XDECREF(batch);
    if (!fits)
        Py_CLEAR(names);
    *max_batch = fits ? (int32_t)number : 0;
    return names;
}

/* Gives a session a number and takes over the reference to it. Where the session is NULL, an exception is set. */
static yolact_status enter(PyObject* session, yolact_handle* handle)
{
    int32_t max_batch = 0;
    PyObject* names = session ? read_session(session, &max_batch) : NULL;
    open_handle* entry = names ? malloc(sizeof *entry) : NULL;
    if (!entry) {
        if (!PyErr_Occurred())
            PyErr_NoMemory();
        Py_XDECREF(names);
        Py_XDECREF(session);
        return fail_with_exception();
    }
    *entry = (open_handle){open_handles, next_number(), session, names, max_batch};
    open_handles = entry;
    *handle = entry->number;
    return YOLACT_OK;
}

yolact_status yolact_open(const char* path, const yolact_options* options, yolact_handle* handle)
{
    static const yolact_options defaults = YOLACT_OPTIONS_DEFAULT;
    if (handle)
        *handle = 0;
    if (!path || !handle)
        return fail(YOLACT_ERROR_ARGUMENT, "yolact_open: expected a path and a handle to fill, got NULL");
    if (!options)
        options = &defaults;
    yolact_status status = check_options(options);
    if (status == YOLACT_OK)
        status = start_python();
    if (status != YOLACT_OK)
        return status;
    PyGILState_STATE state = PyGILState_Ensure();
    status = enter(open_session(path, options), handle);
    PyGILState_Release(state);
    return status;
}

int32_t yolact_class_count(yolact_handle handle)
{
    if (!python_runs())
        return 0;
    PyGILState_STATE state = PyGILState_Ensure();
    open_handle* entry = find(handle);
    int32_t count = entry ? (int32_t)PyTuple_Size(entry->class_names) : 0;
    PyGILState_Release(state);
    return count;
}

const char* yolact_class_name(yolact_handle handle, int32_t class_id)
{
    if (!python_runs())
        return NULL;
    PyGILState_STATE state = PyGILState_Ensure();
    open_handle* entry = find(handle);
    const char* name = NULL;
    if (entry && class_id >= 0 && class_id < PyTuple_Size(entry->class_names))
        name = PyBytes_AsString(PyTuple_GetItem(entry->class_names, class_id));
    PyGILState_Release(state);
    return name;
}

int32_t yolact_max_batch(yolact_handle handle)
{
    if (!python_runs())
        return 0;
    PyGILState_STATE state = PyGILState_Ensure();
    open_handle* entry = find(handle);
    int32_t count = entry ? entry->max_batch : 0;
    PyGILState_Release(state);
    return count;
}

yolact_status yolact_close(yolact_handle handle)
{
    if (handle == 0)
        return YOLACT_OK;
    if (!python_runs())
        return fail_with_handle("yolact_close", handle);
    PyGILState_STATE state = PyGILState_Ensure();
    yolact_status status = YOLACT_OK;
    open_handle** link = &open_handles;
    while (*link && (*link)->number != handle)
        link = &(*link)->next;
    open_handle* entry = *link;
    if (entry) {
        *link = entry->next; /* before any Python code runs, so that no other thread closes it too */
        PyObject* done = PyObject_CallMethod(entry->session, "close", NULL);
        if (!done)
            status = fail_with_exception();
        Py_XDECREF(done);
        Py_DECREF(entry->session);
        Py_DECREF(entry->class_names);
        free(entry);
    } else {
        status = fail_with_handle("yolact_close", handle);
    }
    PyGILState_Release(state);
    return status;
}
