/* Decodes image files that are in memory. The pixels are copied out of Python, so any thread can free them without the
 * GIL. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* Returns 0 with an exception set where the array is not (height, width, 3) bytes: what follows relies on it to stay
 * inside memory. */
static int is_image(const Py_buffer* pixels)
{
    if (pixels->ndim == 3 && pixels->itemsize == 1 && strcmp(pixels->format, "B") == 0 && pixels->shape[0] >= 1 &&
        pixels->shape[0] <= YOLACT_MAX_SIDE && pixels->shape[1] >= 1 && pixels->shape[1] <= YOLACT_MAX_SIDE &&
        pixels->shape[2] == 3)
        return 1;
    PyErr_Format(
        PyExc_RuntimeError,
        "expected the bridge to decode to (height, width, 3) uint8, got %d dimensions of format %s, %zd bytes in all; "
        "install yolact and libyolact of the same version",
        pixels->ndim, pixels->format, pixels->len);
    return 0;
}

/* Copies the array that bridge.decode returned. Where it is NULL, an exception is set. */
static yolact_status take_pixels(PyObject* array, yolact_image* image)
{
    Py_buffer pixels;
    if (!array || PyObject_GetBuffer(array, &pixels, PyBUF_FORMAT | PyBUF_ND | PyBUF_C_CONTIGUOUS) != 0)
        return fail_with_exception();
    uint8_t* data = is_image(&pixels) ? malloc((size_t)pixels.len) : NULL;
    if (data) {
        memcpy(data, pixels.buf, (size_t)pixels.len);
        int32_t height = (int32_t)pixels.shape[0], width = (int32_t)pixels.shape[1];
        *image = (yolact_image){data, height, width, (size_t)width * 3, YOLACT_FORMAT_BGR};
    } else if (!PyErr_Occurred()) {
        PyErr_NoMemory();
    }
    PyBuffer_Release(&pixels);
    return data ? YOLACT_OK : fail_with_exception();
}

yolact_status yolact_image_decode(const void* file, size_t size, yolact_image* image)
{
    if (image)
        *image = (yolact_image){0};
    if (!image || !file)
        return fail(YOLACT_ERROR_ARGUMENT, "yolact_image_decode: expected a file and an image to fill, got NULL");
    if (size > PY_SSIZE_T_MAX)
        return fail(YOLACT_ERROR_ARGUMENT, "yolact_image_decode: expected a file that fits into memory, got %zu", size);
    yolact_status status = start_python();
    if (status != YOLACT_OK)
        return status;
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject* bridge = import_bridge();
    PyObject* array = bridge ? PyObject_CallMethod(bridge, "decode", "y#", file, (Py_ssize_t)size) : NULL;
    status = take_pixels(array, image);
    Py_XDECREF(array);
    Py_XDECREF(bridge);
    PyGILState_Release(state);
    return status;
}

void yolact_image_free(yolact_image* image)
{
    if (!image)
        return;
    free((void*)(uintptr_t)image->data);
    *image = (yolact_image){0};
}
