/* Finds Python and starts it inside this process. It is started once and never stopped, because NumPy and other
 * packages cannot be loaded a second time. */
#define _GNU_SOURCE 1 /* dladdr */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

/* YOLACT_PYTHON is the interpreter of the environment that the library was built for. Where that has moved, a file of
 * the name PYTHON_FILE beside the library holds the path of the interpreter to use instead. */
#ifndef YOLACT_PYTHON
#error "YOLACT_PYTHON must be the interpreter of the environment that has yolact; build with make capi"
#endif
#define PYTHON_FILE "yolact-python.txt"

static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;
static char interpreter[4096];
static int has_run; /* Python has run; where it runs no more, it has been ended and is not started again */

const char* python_environment(void) { return interpreter; }

int python_runs(void)
{
    pthread_mutex_lock(&starting); /* Py_IsInitialized says yes before Python has started in full */
    int runs = has_run && Py_IsInitialized();
    pthread_mutex_unlock(&starting);
    return runs;
}

/* Sets `interpreter` to the path in the file beside the library, else to YOLACT_PYTHON. */
static void choose_interpreter(void)
{
    Dl_info library;
    snprintf(interpreter, sizeof interpreter, "%s", YOLACT_PYTHON);
    if (!dladdr((void*)&interpreter, &library) || !library.dli_fname)
        return;
    const char* slash = strrchr(library.dli_fname, '/');
    int folder = slash ? (int)(slash - library.dli_fname + 1) : 0;
    char path[4096];
    if (snprintf(path, sizeof path, "%.*s%s", folder, library.dli_fname, PYTHON_FILE) >= (int)sizeof path)
        return;
    FILE* file = fopen(path, "r");
    if (!file)
        return;
    char line[sizeof interpreter];
    if (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0])
            memcpy(interpreter, line, sizeof interpreter);
    }
    fclose(file);
}

/* Makes Python's symbols visible to extension modules, which are not linked to Python. They are visible already in a
 * program that is linked to this library, but not in one that loaded this library with dlopen. */
static void show_symbols(void)
{
    Dl_info python;
    if (dladdr((void*)(size_t)&Py_IsInitialized, &python) && python.dli_fname)
        dlopen(python.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD); /* never closed, so Python stays loaded */
}

/* Starts Python. It is isolated: it does not read the program's environment variables, working directory and user site,
 * and changes neither signal handlers nor locale. It uses UTF-8, because the locale of a program that has set none is
 * ASCII. */
static PyStatus initialise(void)
{
    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1;
    PyStatus status = Py_PreInitialize(&before);
    if (PyStatus_Exception(status))
        return status;
    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config.pathconfig_warnings = 0;
    status = PyConfig_SetBytesString(&config, &config.program_name, interpreter);
    if (!PyStatus_Exception(status))
        status = PyConfig_SetBytesString(&config, &config.executable, interpreter);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    return status;
}

static yolact_status start_own(void)
{
    choose_interpreter();
    if (access(interpreter, X_OK) != 0)
        return fail(
            YOLACT_ERROR_PYTHON,
            "expected the Python environment of libyolact at %s, where there is none; build the library again with "
            "make capi, or write the path of the environment's python into %s beside the library",
            interpreter, PYTHON_FILE);
    show_symbols();
    PyStatus status = initialise();
    if (PyStatus_Exception(status))
        return fail(
            YOLACT_ERROR_PYTHON, "Python of %s does not start (%s); build libyolact again with make capi", interpreter,
            status.err_msg ? status.err_msg : "no reason given");
    PyEval_SaveThread(); /* releases the GIL, so that any thread can take it */
    return YOLACT_OK;
}

/* The program's Python must have the version whose headers this library was compiled with. */
static yolact_status check_version(void)
{
    char expected[16];
    int length = snprintf(expected, sizeof expected, "%d.%d.", PY_MAJOR_VERSION, PY_MINOR_VERSION);
    if (strncmp(Py_GetVersion(), expected, (size_t)length) == 0)
        return YOLACT_OK;
    return fail(
        YOLACT_ERROR_PYTHON,
        "expected Python %d.%d, which libyolact was built for, in this process, got %.*s; build "
        "the library with that Python",
        PY_MAJOR_VERSION, PY_MINOR_VERSION, (int)strcspn(Py_GetVersion(), " "), Py_GetVersion());
}

yolact_status start_python(void)
{
    pthread_mutex_lock(&starting);
    yolact_status status = YOLACT_OK;
    if (Py_IsInitialized()) {
        if (!has_run) {
            snprintf(interpreter, sizeof interpreter, "%s", "that this process runs");
            status = check_version();
        }
    } else if (has_run) {
        status = fail(YOLACT_ERROR_PYTHON, "this process has ended its Python, which does not start twice");
    } else {
        status = start_own();
    }
    has_run |= status == YOLACT_OK;
    pthread_mutex_unlock(&starting);
    return status;
}

PyObject* import_bridge(void) { return PyImport_ImportModule("yolact.runtime.capi.bridge"); }
