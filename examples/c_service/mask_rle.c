#include "mask_rle.h"

static int is_set(const yolact_mask* mask, size_t row, int32_t y, int32_t x)
{
    return mask->bits[(size_t)y * row + (size_t)x / 8] >> (7 - x % 8) & 1;
}

/* Writes the length of one run in COCO's text form, 5 bits a character. */
static void write_number(text* to, int64_t number)
{
    int more = 1;
    while (more) {
        int bits = (int)(number & 0x1f);
        number >>= 5; /* negative numbers keep their sign with every compiler that builds this */
        more = number != (bits & 0x10 ? -1 : 0);
        char character = (char)(48 + (more ? bits | 0x20 : bits));
        text_add(to, &character, 1);
    }
}

/* The runs of a mask are written in turn, from the fourth on as the difference to the run two before. */
typedef struct run_writer {
    text* to;
    int64_t earlier[2]; /* the lengths two and one before */
    int64_t end;        /* of the last run: its pixel, counted down the columns of the image */
    size_t count;
} run_writer;

static void write_run(run_writer* runs, int64_t end)
{
    int64_t length = end - runs->end;
    write_number(runs->to, runs->count > 2 ? length - runs->earlier[0] : length);
    runs->earlier[0] = runs->earlier[1];
    runs->earlier[1] = length;
    runs->end = end;
    runs->count++;
}

void write_mask_counts(text* to, const yolact_mask* mask, int32_t width, int32_t height)
{
    run_writer runs = {to, {0, 0}, 0, 0};
    size_t row = ((size_t)mask->width + 7) / 8;
    int64_t start = 0, end = 0; /* of the current run of ones */
    for (int32_t x = 0; x < mask->width; x++) {
        int64_t top = (int64_t)(mask->left + x) * height + mask->top;
        for (int32_t y = 0; y < mask->height; y++) {
            if (!is_set(mask, row, y, x))
                continue;
            if (top + y != end || start == end) {
                if (start < end) {
                    write_run(&runs, start);
                    write_run(&runs, end);
                }
                start = top + y;
            }
            end = top + y + 1;
        }
    }
    if (start < end) {
        write_run(&runs, start);
        write_run(&runs, end);
    }
    int64_t pixels = (int64_t)width * height;
    if (runs.end < pixels || runs.count == 0)
        write_run(&runs, pixels);
}
