/* Checks a program's images and hands them to the bridge. */
#include "internal.h"

static const size_t pixel_sizes[] = {3, 3, 1, 4}; /* bytes, for each format */

yolact_status check_image(const yolact_image* image, size_t index)
{
    int64_t height = image->height, width = image->width;
    if (!image->data)
        return fail(YOLACT_ERROR_IMAGE, "image %zu: expected the address of its pixels, got NULL", index);
    if (image->format < 0 || image->format > YOLACT_FORMAT_BGRA)
        return fail(
            YOLACT_ERROR_IMAGE, "image %zu: expected a format from 0 to %d (YOLACT_FORMAT_...), got %ld", index,
            (int)YOLACT_FORMAT_BGRA, (long)image->format);
    if (height < 1 || width < 1 || height > YOLACT_MAX_SIDE || width > YOLACT_MAX_SIDE ||
        height * width > YOLACT_MAX_PIXELS)
        return fail(
            YOLACT_ERROR_IMAGE, "image %zu: expected sides of 1 to %ld and at most %ld pixels, got %lldx%lld", index,
            (long)YOLACT_MAX_SIDE, (long)YOLACT_MAX_PIXELS, (long long)width, (long long)height);
    size_t row = (size_t)width * pixel_sizes[image->format];
    if (image->stride < row || image->stride > PY_SSIZE_T_MAX / (size_t)height)
        return fail(
            YOLACT_ERROR_IMAGE,
            "image %zu: expected a stride of at least %zu bytes, which a row of %lld pixels has, and an image that "
            "fits into memory, got %zu",
            index, row, (long long)width, image->stride);
    return YOLACT_OK;
}

PyObject* image_as_python(const yolact_image* image)
{
    size_t row = (size_t)image->width * pixel_sizes[image->format];
    Py_ssize_t length =
        (Py_ssize_t)((size_t)(image->height - 1) * image->stride + row); /* the last row may lack its padding */
    PyObject* pixels = PyMemoryView_FromMemory((char*)(uintptr_t)image->data, length, PyBUF_READ);
    return pixels ? Py_BuildValue(
                        "Niini", pixels, (int)image->height, (int)image->width, (Py_ssize_t)image->stride,
                        (int)image->format)
                  : NULL;
}

static PyObject* all_as_python(const yolact_image* images, size_t count)
{
    PyObject* list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < count; i++) {
        PyObject* image = image_as_python(&images[i]);
        if (image)
            PyList_SetItem(list, (Py_ssize_t)i, image);
        else
            Py_CLEAR(list);
    }
    return list;
}

static yolact_status infer_in_python(
    yolact_handle handle, const yolact_image* images, size_t count, yolact_results** results)
{
    PyObject* session = find_session(handle);
    if (!session)
        return fail_with_handle("yolact_infer", handle);
    PyObject* list = all_as_python(images, count);
    PyObject* found = list ? PyObject_CallMethod(session, "infer", "O", list) : NULL;
    yolact_status status = found ? pack_results(found, images, count, results) : fail_with_exception();
    Py_XDECREF(found);
    Py_XDECREF(list);
    Py_DECREF(session);
    return status;
}

yolact_status yolact_infer(yolact_handle handle, const yolact_image* images, size_t count, yolact_results** results)
{
    if (results)
        *results = NULL;
    if (!results || (!images && count > 0))
        return fail(YOLACT_ERROR_ARGUMENT, "yolact_infer: expected images and results to fill, got NULL");
    if (count > YOLACT_MAX_IMAGES)
        return fail(
            YOLACT_ERROR_ARGUMENT, "yolact_infer: expected at most %ld images, got %zu", (long)YOLACT_MAX_IMAGES,
            count);
    if (!python_runs())
        return fail_with_handle("yolact_infer", handle);
    for (size_t i = 0; i < count; i++) {
        yolact_status status = check_image(&images[i], i);
        if (status != YOLACT_OK)
            return status;
    }
    PyGILState_STATE state = PyGILState_Ensure();
    yolact_status status = infer_in_python(handle, images, count, results);
    PyGILState_Release(state);
    return status;
}
