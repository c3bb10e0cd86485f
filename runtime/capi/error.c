/* Statuses, and the sentences that say what went wrong. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

static _Thread_local char last_error[2048];

int32_t yolact_version(void) { return YOLACT_VERSION_NUMBER; }

const char* yolact_last_error(void) { return last_error; }

const char* yolact_status_string(yolact_status status)
{
    switch (status) {
    case YOLACT_OK: return "no error";
    case YOLACT_ERROR_ARGUMENT: return "wrong argument";
    case YOLACT_ERROR_HANDLE: return "handle is not open";
    case YOLACT_ERROR_ENGINE: return "engine file cannot be used";
    case YOLACT_ERROR_IMAGE: return "image cannot be used";
    case YOLACT_ERROR_PYTHON: return "Python environment cannot be used";
    case YOLACT_ERROR_MEMORY: return "not enough memory";
    case YOLACT_ERROR_INTERNAL: return "internal error";
    case YOLACT_ERROR_FULL: return "stream is full";
    case YOLACT_ERROR_EMPTY: return "stream is empty";
    }
    return "unknown status";
}

yolact_status fail(yolact_status status, const char* format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(last_error, sizeof last_error, format, arguments);
    va_end(arguments);
    if (length >= (int)sizeof last_error) { /* cut between characters, not inside one */
        size_t end = sizeof last_error - 1;
        while (end > 0 && ((unsigned char)last_error[end - 1] & 0xC0) == 0x80)
            end--;
        if (end > 0 && (unsigned char)last_error[end - 1] >= 0xC0)
            end--;
        last_error[end] = '\0';
    }
    return status;
}

/* Reports the exception's type and text, where the bridge cannot be imported to explain it. */
static yolact_status fail_with_type(PyObject* type, PyObject* value)
{
    PyErr_Clear();
    PyObject* text = value ? PyObject_Str(value) : NULL;
    const char* sentence = text ? PyUnicode_AsUTF8(text) : NULL;
    PyErr_Clear();
    int is_import = type && PyErr_GivenExceptionMatches(type, PyExc_ImportError);
    yolact_status status = fail(
        is_import ? YOLACT_ERROR_PYTHON : YOLACT_ERROR_INTERNAL, "%s: %s%s%s",
        type ? ((PyTypeObject*)type)->tp_name : "unknown exception", sentence ? sentence : "(no text)",
        is_import ? "; install yolact for the Python environment " : "", is_import ? python_environment() : "");
    Py_XDECREF(text);
    return status;
}

yolact_status fail_with_exception(void)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    PyObject* bridge = import_bridge();
    PyObject* pair = bridge && value ? PyObject_CallMethod(bridge, "explain", "O", value) : NULL;
    int code;
    const char* sentence;
    yolact_status status = pair && PyArg_ParseTuple(pair, "iy", &code, &sentence)
                               ? fail((yolact_status)code, "%s", sentence)
                               : fail_with_type(type, value);
    PyErr_Clear();
    Py_XDECREF(pair);
    Py_XDECREF(bridge);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(trace);
    return status;
}
