/* The open streams and their numbers. A thread that reads or changes the list holds the GIL and runs no Python code
 * meanwhile.
 */
#include <stdlib.h>

#include "internal.h"

enum { MOST_IN_FLIGHT = 64 };

typedef struct open_stream {
    struct open_stream* next;
    yolact_stream number;
    PyObject* stream; /* image_stream.ImageStream */
} open_stream;

static open_stream* open_streams;

static open_stream** find_link(yolact_stream number)
{
    open_stream** link = &open_streams;
    while (*link && (*link)->number != number)
        link = &(*link)->next;
    return link;
}

static yolact_status fail_with_number(const char* function, yolact_stream number)
{
    return fail(
        YOLACT_ERROR_HANDLE, "%s: expected an open stream, got %llu, which was closed or never given out", function,
        (unsigned long long)number);
}

static yolact_status check_options(const yolact_stream_options* options)
{
    if (options->struct_size != sizeof *options)
        return fail(
            YOLACT_ERROR_ARGUMENT,
            "expected yolact_stream_options.struct_size to be %zu, got %zu; start from YOLACT_STREAM_OPTIONS_DEFAULT "
            "and compile the program with this library's header",
            sizeof *options, options->struct_size);
    if (options->in_flight < 1 || options->in_flight > MOST_IN_FLIGHT)
        return fail(
            YOLACT_ERROR_ARGUMENT, "expected 1 to %d batches in_flight, got %ld", MOST_IN_FLIGHT,
            (long)options->in_flight);
    if (options->batch_size < 0 || options->batch_size > YOLACT_MAX_IMAGES)
        return fail(
            YOLACT_ERROR_ARGUMENT, "expected a batch_size from 0 (the least that the engine takes) to %ld, got %ld",
            (long)YOLACT_MAX_IMAGES, (long)options->batch_size);
    return YOLACT_OK;
}

/* Puts a new ImageStream, whose reference it takes, into the list. Where it is NULL, an exception is set. */
static yolact_status enter(PyObject* python_stream, yolact_stream* stream)
{
    open_stream* entry = python_stream ? malloc(sizeof *entry) : NULL;
    if (!entry) {
        if (!PyErr_Occurred())
            PyErr_NoMemory();
        Py_XDECREF(python_stream);
        return fail_with_exception();
    }
    *entry = (open_stream){open_streams, next_number(), python_stream};
    open_streams = entry;
    *stream = entry->number;
    return YOLACT_OK;
}

yolact_status yolact_stream_open(yolact_handle handle, const yolact_stream_options* options, yolact_stream* stream)
{
    static const yolact_stream_options defaults = YOLACT_STREAM_OPTIONS_DEFAULT;
    if (stream)
        *stream = 0;
    else
        return fail(YOLACT_ERROR_ARGUMENT, "yolact_stream_open: expected a stream to fill, got NULL");
    if (!options)
        options = &defaults;
    yolact_status status = check_options(options);
    if (status != YOLACT_OK)
        return status;
    if (!python_runs())
        return fail_with_handle("yolact_stream_open", handle);
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject* session = find_session(handle);
    if (session)
        status = enter(
            PyObject_CallMethod(session, "open_stream", "ii", (int)options->in_flight, (int)options->batch_size),
            stream);
    else
        status = fail_with_handle("yolact_stream_open", handle);
    Py_XDECREF(session);
    PyGILState_Release(state);
    return status;
}

/* A new reference to the ImageStream of a number; NULL, without an exception, where it is not open. */
static PyObject* find_stream(yolact_stream number)
{
    open_stream* entry = *find_link(number);
    Py_XINCREF(entry ? entry->stream : NULL);
    return entry ? entry->stream : NULL;
}

yolact_status yolact_stream_submit(yolact_stream stream, const yolact_image* image)
{
    if (!image)
        return fail(YOLACT_ERROR_ARGUMENT, "yolact_stream_submit: expected an image, got NULL");
    if (!python_runs())
        return fail_with_number("yolact_stream_submit", stream);
    yolact_status status = check_image(image, 0);
    if (status != YOLACT_OK)
        return status;
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject* python_stream = find_stream(stream);
    if (python_stream) {
        PyObject* pixels = image_as_python(image);
        PyObject* done = pixels ? PyObject_CallMethod(python_stream, "submit", "(O)", pixels) : NULL;
        status = done ? YOLACT_OK : fail_with_exception();
        Py_XDECREF(done);
        Py_XDECREF(pixels);
        Py_DECREF(python_stream);
    } else {
        status = fail_with_number("yolact_stream_submit", stream);
    }
    PyGILState_Release(state);
    return status;
}

/* Copies what ImageStream.take returned. Where it is NULL, an exception is set. */
static yolact_status pack_taken(PyObject* taken, yolact_results** results)
{
    int height, width;
    PyObject* found;
    if (!taken || !PyArg_ParseTuple(taken, "iiO", &height, &width, &found))
        return fail_with_exception();
    yolact_image image = {NULL, height, width, 0, YOLACT_FORMAT_BGR};
    return pack_results(found, &image, 1, results);
}

yolact_status yolact_stream_next(yolact_stream stream, yolact_results** results)
{
    if (results)
        *results = NULL;
    else
        return fail(YOLACT_ERROR_ARGUMENT, "yolact_stream_next: expected results to fill, got NULL");
    if (!python_runs())
        return fail_with_number("yolact_stream_next", stream);
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject* python_stream = find_stream(stream);
    yolact_status status;
    if (python_stream) {
        PyObject* taken = PyObject_CallMethod(python_stream, "take", NULL);
        status = pack_taken(taken, results);
        Py_XDECREF(taken);
        Py_DECREF(python_stream);
    } else {
        status = fail_with_number("yolact_stream_next", stream);
    }
    PyGILState_Release(state);
    return status;
}

yolact_status yolact_stream_close(yolact_stream stream)
{
    if (stream == 0)
        return YOLACT_OK;
    if (!python_runs())
        return fail_with_number("yolact_stream_close", stream);
    PyGILState_STATE state = PyGILState_Ensure();
    open_stream** link = find_link(stream);
    open_stream* entry = *link;
    yolact_status status = YOLACT_OK;
    if (entry) {
        *link = entry->next; /* before any Python code runs, so that no other thread closes it too */
        PyObject* done = PyObject_CallMethod(entry->stream, "close", NULL);
        if (!done)
            status = fail_with_exception();
        Py_XDECREF(done);
        Py_DECREF(entry->stream);
        free(entry);
    } else {
        status = fail_with_number("yolact_stream_close", stream);
    }
    PyGILState_Release(state);
    return status;
}
