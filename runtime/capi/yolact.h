/*
 * libyolact: instance masks from an exported YOLACT model, for C and C++.
 *
 * Introduction
 *
 *   The library opens an engine file, yolact.onnx from yolact-export or yolact.plan from yolact-build, and finds
 *   instances in images that the program holds in memory: a box, a class, a score and a mask for each.
 *
 *     yolact_handle detector;
 *     yolact_results* results;
 *     if (yolact_open("yolact.onnx", NULL, &detector) != YOLACT_OK) die(yolact_last_error());
 *     yolact_image image = {pixels, height, width, stride, YOLACT_FORMAT_BGR};  // or yolact_image_decode
 *     if (yolact_infer(detector, &image, 1, &results) != YOLACT_OK) die(yolact_last_error());
 *     for (size_t i = 0; i < results->images[0].count; i++) puts(yolact_class_name(detector, ...class_ids[i]));
 *     yolact_results_free(results);
 *     yolact_close(detector);
 *
 *   examples/c/detect.c is this as a whole program. Many images go through a stream: yolact_stream_open.
 *
 *   The library starts the toolkit's Python runtime inside the process at the first yolact_open, so its results equal
 *   those of yolact.runtime.detector.Detector to the bit. It finds the Python environment that it was built with by
 *   itself; no variable has to be set, and PYTHONHOME and PYTHONPATH are not read. Where the process runs Python
 *   already, the library uses that Python, which must have yolact installed.
 *
 * Errors
 *
 *   Functions that can fail return a yolact_status. yolact_last_error() returns a sentence that says what was expected,
 *   what was got and what to do. A call that fails sets its output to 0 or NULL.
 *
 * Threads
 *
 *   Every function may be called from any thread, also from threads that Python did not make, and calls may run at the
 *   same time on one handle too; a plan then takes GPU memory for each call. Closing a handle waits for the calls that
 *   run on it. A child made by fork() must not use the library if its parent did.
 *
 * Ownership
 *
 *   Images stay the caller's: they are read during yolact_infer and yolact_stream_submit only and never written.
 *   Results and decoded images belong to the caller and do not depend on a handle; yolact_results_free and
 *   yolact_image_free, which any thread may call, free them. All text belongs to the library.
 *
 * Compatibility
 *
 *   Within a major version of the shared library, functions and constants are only added. yolact_options
 *   and yolact_stream_options may grow at their end; struct_size says how much of them the program knows. The other
 *   structs keep their layout.
 */
#ifndef YOLACT_H
#define YOLACT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define YOLACT_API __attribute__((visibility("default")))
#else
#define YOLACT_API
#endif

/* ---- Version ---- */

#define YOLACT_VERSION_MAJOR 0
#define YOLACT_VERSION_MINOR 1
#define YOLACT_VERSION_PATCH 0
#define YOLACT_VERSION_NUMBER (YOLACT_VERSION_MAJOR * 10000 + YOLACT_VERSION_MINOR * 100 + YOLACT_VERSION_PATCH)

/* YOLACT_VERSION_NUMBER of the library that is loaded, which may be newer than this header. */
YOLACT_API int32_t yolact_version(void);

/* ---- Status ---- */

typedef enum yolact_status {
    YOLACT_OK = 0,
    YOLACT_ERROR_ARGUMENT = 1, /* a NULL where there must be none, a value out of range, a wrong struct_size */
    YOLACT_ERROR_HANDLE = 2,   /* a handle that was never given out, or was closed */
    YOLACT_ERROR_ENGINE = 3,   /* a file that is missing, is no engine file, or cannot run on this machine */
    YOLACT_ERROR_IMAGE = 4,    /* an image of no or too many pixels, or whose stride is less than a row */
    YOLACT_ERROR_PYTHON = 5,   /* the Python environment does not start, or lacks the toolkit */
    YOLACT_ERROR_MEMORY = 6,
    YOLACT_ERROR_INTERNAL = 7, /* a fault of the toolkit: please report the sentence */
    YOLACT_ERROR_FULL = 8,     /* a stream holds as many images as it may: take a result first */
    YOLACT_ERROR_EMPTY = 9     /* a stream holds no image: there is no result to wait for */
} yolact_status;

/* The meaning of a status, in a few words; never NULL. */
YOLACT_API const char* yolact_status_string(yolact_status status);

/* A sentence, UTF-8, about this thread's last call that failed; "" where none has failed. The text is valid until the
 * thread's next call that fails. */
YOLACT_API const char* yolact_last_error(void);

/* ---- Detectors ---- */

/* An opened engine file. Handles are numbers, and no number is given out twice, so using a closed handle is an error
 * and not a crash. 0 is no handle. */
typedef uint64_t yolact_handle;

typedef struct yolact_options {
    size_t struct_size;      /* sizeof(yolact_options) */
    float score_threshold;   /* leave out detections that do not score above it, 0 to 1 */
    int32_t top_k;           /* keep this many detections of an image at most, the best ones; 0: all */
    const char* device;      /* "cpu", "cuda", "cuda:1", "tensorrt", "openvino", "openvino:GPU"; NULL: an ONNX file on
                              * the CPU, a plan on GPU 0 */
    int32_t threads;         /* CPU threads for an ONNX file, to 1024; 0: one a physical core */
    int32_t allow_host_code; /* not 0: TensorRT may run code that the plan carries; only for plans you trust */
    const char* precision;   /* "file" or NULL: at least as exact as the file says; "auto", with "openvino" alone: the
                              * quickest on the device, such as bfloat16 */
} yolact_options;

/* The defaults: yolact_options options = YOLACT_OPTIONS_DEFAULT; */
#define YOLACT_OPTIONS_DEFAULT {sizeof(yolact_options), 0.15f, 0, NULL, 0, 0, NULL}

/* Opens an engine file. `path` has the file system's bytes; `options` may be NULL for the defaults. */
YOLACT_API yolact_status yolact_open(const char* path, const yolact_options* options, yolact_handle* handle);

/* How many classes the model knows; 0 where the handle is not open. */
YOLACT_API int32_t yolact_class_count(yolact_handle handle);

/* The name, UTF-8, of class `class_id`, from 0; NULL where there is no such class or the handle is not open. The text
 * is valid until the handle is closed. */
YOLACT_API const char* yolact_class_name(yolact_handle handle, int32_t class_id);

/* How many images the engine file runs at once: INT32_MAX where it takes any number; 0 where the handle is not open.
 * yolact_infer takes more images than that and runs them in turns. */
YOLACT_API int32_t yolact_max_batch(yolact_handle handle);

/* Closes the handle and frees the model. Results stay valid. Closing 0 does nothing and is no error. */
YOLACT_API yolact_status yolact_close(yolact_handle handle);

/* ---- Images ---- */

enum {
    YOLACT_FORMAT_BGR = 0, /* bytes of a pixel in memory: blue, green, red; as OpenCV has them */
    YOLACT_FORMAT_RGB = 1,
    YOLACT_FORMAT_GRAY = 2, /* 1 byte a pixel */
    YOLACT_FORMAT_BGRA = 3  /* 4 bytes a pixel, the last one not used */
};

enum {
    YOLACT_MAX_SIDE = 1 << 20,   /* pixels */
    YOLACT_MAX_PIXELS = 1 << 30, /* of one image */
    YOLACT_MAX_IMAGES = 1 << 16  /* of one call */
};

typedef struct yolact_image {
    const uint8_t* data; /* (height - 1) * stride + width * bytes of a pixel, from the top left corner */
    int32_t height;      /* pixels */
    int32_t width;
    size_t stride;  /* bytes from one row to the next, at least width * bytes of a pixel */
    int32_t format; /* YOLACT_FORMAT_... */
} yolact_image;

/* Decodes the contents of an image file (JPEG, PNG, WebP, BMP, TIFF) as yolact-infer reads it: BGR, upright, 8 bits,
 * without alpha. Truncated and damaged files are errors, and so are images of more than 200 million pixels or, where
 * the environment variable YOLACT_MAX_PIXELS is set when Python starts, of more than that. The first call starts
 * Python. */
YOLACT_API yolact_status yolact_image_decode(const void* file, size_t size, yolact_image* image);

/* Frees the pixels of a decoded image and sets it to zeros. NULL and an image of zeros do nothing. */
YOLACT_API void yolact_image_free(yolact_image* image);

/* ---- Results ---- */

/* Pixel (y, x) of the image belongs to the instance where top <= y < top + height, left <= x < left + width and
 * bits[(y - top) * row + (x - left) / 8] >> (7 - (x - left) % 8) & 1, row = (width + 7) / 8. The bits of a row come
 * from the most significant one on, and each row begins with a new byte, as in numpy.packbits. */
typedef struct yolact_mask {
    int32_t top;
    int32_t left;
    int32_t height; /* 0 where no pixel was set */
    int32_t width;
    const uint8_t* bits; /* height * ((width + 7) / 8) bytes */
} yolact_mask;

/* The detections in one image, best first; each array has `count` entries. */
typedef struct yolact_detections {
    size_t count;
    const float* boxes;       /* x1, y1, x2, y2 of each: pixels of the image, inside it */
    const float* scores;      /* 0 to 1 */
    const int32_t* class_ids; /* see yolact_class_name */
    const float* mask_scores; /* YOLACT++ ranks by these, score times predicted mask IoU; NULL for others */
    const yolact_mask* masks;
} yolact_detections;

typedef struct yolact_results {
    size_t count; /* images of the call */
    const yolact_detections* images;
} yolact_results;

/* Finds instances in `count` images of any sizes and formats, which run as one batch where the engine file takes it. */
YOLACT_API yolact_status
yolact_infer(yolact_handle handle, const yolact_image* images, size_t count, yolact_results** results);

/* Frees results with everything they point to. NULL does nothing. */
YOLACT_API void yolact_results_free(yolact_results* results);

/* ---- Streams ---- */

/* Many images one after the other, with batches in flight: on a plan, upload, network and download of several overlap.
 * An ONNX file, whose network keeps the CPU busy by itself, runs in yolact_stream_next; a stream is no quicker there
 * than yolact_infer.
 *
 *   for (;;) {
 *       while (have_image && yolact_stream_submit(stream, &image) == YOLACT_OK) ...have_image = read_next(&image);
 *       status = yolact_stream_next(stream, &results);         // the results of the image submitted first
 *       if (status == YOLACT_ERROR_EMPTY) break;               // there was no image any more
 *       if (status == YOLACT_OK) ...use results->images[0];    // otherwise it is this image that failed
 *       yolact_results_free(results);
 *   }
 *
 * Threads: all functions may be called at the same time on one stream, for example submit in one thread and next in
 * another. Images keep the order in which calls of submit begin to copy them, and each result goes to one call of next.
 * Neither waits for the other: submit returns YOLACT_ERROR_FULL and next YOLACT_ERROR_EMPTY, so two threads tell each
 * other, by a semaphore for instance, when there is something to do.
 *
 * Streams are numbers like handles, and no number is given out twice to streams or detectors. 0 is no stream. */
typedef uint64_t yolact_stream;

typedef struct yolact_stream_options {
    size_t struct_size; /* sizeof(yolact_stream_options) */
    int32_t in_flight;  /* batches that were begun and whose results were not all taken, 1 to 64 */
    int32_t batch_size; /* images of a batch, 1 to YOLACT_MAX_IMAGES; 0: the fewest that the engine file takes. The
                           stream holds in_flight * batch_size images at most. */
} yolact_stream_options;

/* The defaults: yolact_stream_options options = YOLACT_STREAM_OPTIONS_DEFAULT; */
#define YOLACT_STREAM_OPTIONS_DEFAULT {sizeof(yolact_stream_options), 2, 0}

/* Opens a stream on a detector, whose score_threshold and top_k it uses; `options` may be NULL for the defaults. A
 * detector may have any number of streams, and yolact_infer may run on it meanwhile. */
YOLACT_API yolact_status
yolact_stream_open(yolact_handle handle, const yolact_stream_options* options, yolact_stream* stream);

/* Copies an image, of any size and format, into the stream, and begins with its batch once that is full. It waits for
 * no result. Where the stream is full it returns YOLACT_ERROR_FULL, and for an image that cannot be used
 * YOLACT_ERROR_IMAGE; either way the image is not in the stream, which goes on as if nothing had been submitted. */
YOLACT_API yolact_status yolact_stream_submit(yolact_stream stream, const yolact_image* image);

/* Waits for the results of the image that was submitted first of those in the stream, and gives them as yolact_infer
 * does for one image. A batch that is not full begins once all results before it were taken. Where this image's batch
 * failed, the status and the sentence say why, and the next call gives the image after it; such a status is not
 * YOLACT_ERROR_ARGUMENT, _HANDLE or _EMPTY. */
YOLACT_API yolact_status yolact_stream_next(yolact_stream stream, yolact_results** results);

/* Closes a stream: waits for calls on it and for the batches that run, and drops images whose results were not taken.
 * Closing 0 does nothing and is no error. Closing the detector ends its streams: submit and next then return
 * YOLACT_ERROR_HANDLE on them; each must still be closed, which returns YOLACT_OK. */
YOLACT_API yolact_status yolact_stream_close(yolact_stream stream);

#ifdef __cplusplus
}
#endif

#endif
