/* c_timer ENGINE IMAGE: for each line on stdin ten times yolact_infer with everything it finds freed, and the mean in
 * milliseconds on stdout. The C side of the overhead that `python -m benchmarks.service` measures. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <time.h>
#include <yolact.h>

static double milliseconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

int main(int argc, char** argv)
{
    static unsigned char file[32 << 20];
    FILE* photo = argc == 3 ? fopen(argv[2], "rb") : NULL;
    size_t size = photo ? fread(file, 1, sizeof file, photo) : 0;
    yolact_handle handle;
    yolact_image image;
    if (!photo || yolact_open(argv[1], NULL, &handle) != YOLACT_OK ||
        yolact_image_decode(file, size, &image) != YOLACT_OK) {
        fprintf(stderr, "%s\n", photo ? yolact_last_error() : "usage: c_timer ENGINE IMAGE");
        return 1;
    }
    while (getchar() != EOF) {
        size_t count = 0;
        double start = milliseconds();
        for (int run = 0; run < 10; run++) {
            yolact_results* results;
            if (yolact_infer(handle, &image, 1, &results) != YOLACT_OK) {
                fprintf(stderr, "%s\n", yolact_last_error());
                return 1;
            }
            count = results->images[0].count;
            yolact_results_free(results);
        }
        printf("%.6f %zu\n", (milliseconds() - start) / 10, count);
        fflush(stdout);
    }
    return 0;
}
