#include "decoding.h"

#include <stdio.h>
#include <string.h>

#include "image_header.h"

int http_status(yolact_status status)
{
    switch (status) {
    case YOLACT_OK: return 200;
    case YOLACT_ERROR_IMAGE: return 400;
    case YOLACT_ERROR_MEMORY: return 503;
    default: return 500;
    }
}

/* The kind of a body that is neither JPEG nor PNG, and advice. */
static const char* advise(const unsigned char* body, size_t size)
{
    static const struct {
        const char *start, *advice;
    } kinds[] = {
        {"--", "a form; send the file as it is, with curl by --data-binary @photo.jpg instead of -F"},
        {"{", "JSON; send the file as it is"},
        {"data:", "a data URL; send the file as it is"},
        {"/9j/", "a JPEG in base64; send the file as it is"},
        {"iVBORw0KGgo", "a PNG in base64; send the file as it is"},
        {"http", "an address; send the file as it is"},
        {"GIF8", "a GIF; convert the image"},
        {"RIFF", "a WebP or another RIFF file; convert the image"},
        {"BM", "a BMP; convert the image"},
        {"II*", "a TIFF; convert the image"},
        {"MM", "a TIFF; convert the image"},
        {"<", "HTML, SVG or XML; convert the image"},
        {"%PDF", "a PDF; convert the image"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t length = strlen(kinds[i].start);
        if (size >= length && memcmp(body, kinds[i].start, length) == 0)
            return kinds[i].advice;
    }
    return "something else; convert the image";
}

/* Looks at the file's header and returns the HTTP status. The image is decoded only where that is 200. */
static int check_header(job* work, size_t max_pixels)
{
    uint32_t width, height;
    image_kind kind = read_image_header(work->body, work->size, &width, &height);
    if (kind == KIND_OTHER) {
        snprintf(
            work->problem, sizeof work->problem, "expected a JPEG or PNG file, got %zu bytes of %s", work->size,
            advise(work->body, work->size));
        return 415;
    }
    if (width == 0 || height == 0) {
        snprintf(
            work->problem, sizeof work->problem,
            "the image is damaged or truncated: its header has no size after %zu bytes; copy it again", work->size);
        return 400;
    }
    if (is_costly(kind, work->body, work->size)) {
        snprintf(
            work->problem, sizeof work->problem,
            "expected at most %d scans in a JPEG and %d packed texts in a PNG, more than programs write; save it again",
            MAX_SCANS, MAX_PACKED_TEXTS);
        return 400;
    }
    if ((uint64_t)width * height <= max_pixels)
        return 200;
    snprintf(
        work->problem, sizeof work->problem,
        "expected an image of at most %zu pixels, got %lux%lu; make it smaller, as the network sees fewer anyway",
        max_pixels, (unsigned long)width, (unsigned long)height);
    return 413;
}

int decode_job(job* work, size_t max_pixels)
{
    if (work->image.data)
        return 200;
    int http = check_header(work, max_pixels);
    if (http != 200)
        return http;
    yolact_status status = yolact_image_decode(work->body, work->size, &work->image);
    work->is_decoded = status == YOLACT_OK;
    if (status != YOLACT_OK)
        snprintf(work->problem, sizeof work->problem, "%s", yolact_last_error());
    return http_status(status);
}
