/* mutate ROUNDS FILE...: gives the target the files and then ROUNDS mutations of them, always the same ones. For
 * compilers without libFuzzer, and for tests, which must do the same each time. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

enum { ROOM = 1 << 13, MOST_FILES = 64 };

static struct {
    uint8_t data[ROOM];
    size_t size;
} seeds[MOST_FILES];

static uint64_t state = 88172645463325252u;

/* A number below `end`, by xorshift. */
static size_t below(size_t end)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return end ? (size_t)(state % end) : 0;
}

/* Replaces `gone` bytes from `start` on. */
static void replace(uint8_t* data, size_t* size, size_t start, size_t gone, const void* with, size_t count)
{
    if (*size - gone + count > ROOM)
        return;
    memmove(data + start + count, data + start + gone, *size - start - gone);
    memcpy(data + start, with, count);
    *size += count - gone;
}

static void mutate(uint8_t* data, size_t* size, size_t files)
{
    static const char* const words[] = {
        "9223372036854775808",
        "18446744073709551616",
        "-1",
        "0",
        "\n",
        ": ",
        "\xff\xff",
        "\xff\xda",
        "\xff\xc0",
        "zTXt",
        "Content-Length: 5\n",
        "Transfer-Encoding: chunked\n",
        "X-Image-Stride: 4294967296\n",
        "\xed\xa0\x80",
        "\xf4\x90\x80\x80",
        "\\\"",
        "\x1b[31m",
        "[[[[[[[[[[[[[[[[[[",
        "\\u0000",
        "\\ud83d\\ude00",
        "\"",
        ", ",
        "\"parameters\": {\"binary_data\": true}, ",
        "Inference-Header-Content-Length: 2\n"};
    const char* word = words[below(sizeof words / sizeof *words)];
    size_t start = below(*size + 1), gone = below(*size - start + 1), other = below(files), from;
    uint8_t byte = (uint8_t)below(256), chunk[64];
    switch (below(6)) {
    case 0:
        if (start < *size)
            data[start] ^= (uint8_t)(1 << below(8));
        break;
    case 1: replace(data, size, start, start < *size, &byte, 1); break;
    case 2: replace(data, size, start, 0, word, strlen(word)); break;
    case 3: replace(data, size, start, gone < strlen(word) ? gone : strlen(word), word, strlen(word)); break;
    case 4: replace(data, size, start, gone, "", 0); break;
    default:
        from = below(seeds[other].size);
        gone = below(seeds[other].size - from + 1);
        memcpy(chunk, seeds[other].data + from, gone = gone < sizeof chunk ? gone : sizeof chunk);
        replace(data, size, start, 0, chunk, gone);
    }
}

int main(int argc, char** argv)
{
    size_t files = 0;
    for (int i = 2; i < argc && files < MOST_FILES; i++) {
        FILE* file = fopen(argv[i], "rb");
        if (!file)
            return 1;
        seeds[files].size = fread(seeds[files].data, 1, ROOM, file);
        fclose(file);
        LLVMFuzzerTestOneInput(seeds[files].data, seeds[files].size);
        files++;
    }
    for (long round = argc > 1 && files > 0 ? atol(argv[1]) : 0; round > 0; round--) {
        static uint8_t data[ROOM];
        size_t chosen = below(files), size = seeds[chosen].size;
        memcpy(data, seeds[chosen].data, size);
        for (size_t times = 1 + below(6); times > 0; times--)
            mutate(data, &size, files);
        LLVMFuzzerTestOneInput(data, size);
    }
    return 0;
}
