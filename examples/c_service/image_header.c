#include "image_header.h"

#include <string.h>

static uint32_t big_endian(const unsigned char* data, int bytes)
{
    uint32_t number = 0;
    for (int i = 0; i < bytes; i++)
        number = number << 8 | data[i];
    return number;
}

/* Walks the segments up to the start of the frame. Its marker is one of SOF0 to SOF15; the markers DHT, JPG and DAC
 * have numbers among those but start no frame. */
static void read_jpeg(const unsigned char* data, size_t size, uint32_t* width, uint32_t* height)
{
    size_t position = 2;
    while (position + 9 <= size) {
        int marker = data[position + 1];
        if (data[position] != 0xff)
            return;
        if (marker == 0xff) { /* a fill byte */
            position++;
            continue;
        }
        if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8)) { /* markers without a segment */
            position += 2;
            continue;
        }
        if (marker == 0x00 || marker == 0xd9 ||
            marker == 0xda) /* here libjpeg goes on elsewhere in the file, or gives up */
            return;
        if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc) {
            *height = big_endian(data + position + 5, 2);
            *width = big_endian(data + position + 7, 2);
            return;
        }
        position += 2 + big_endian(data + position + 2, 2);
    }
}

/* How many scans a JPEG has. Compressed data never contains 0xff 0xda, so only markers are counted, of the image or of
 * a thumbnail in it. */
static size_t count_scans(const unsigned char* data, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i + 1 < size; i++)
        count += data[i] == 0xff && data[i + 1] == 0xda;
    return count;
}

/* How many packed texts a PNG has. libpng unpacks each of them, up to 8 MB, though they are not used. */
static size_t count_packed_texts(const unsigned char* data, size_t size)
{
    size_t count = 0;
    for (uint64_t position = 8; position + 12 <= size; position += 12 + (uint64_t)big_endian(data + position, 4))
        count += memcmp(data + position + 4, "zTXt", 4) == 0 || memcmp(data + position + 4, "iTXt", 4) == 0;
    return count;
}

int is_costly(image_kind kind, const unsigned char* data, size_t size)
{
    return kind == KIND_JPEG ? count_scans(data, size) > MAX_SCANS : count_packed_texts(data, size) > MAX_PACKED_TEXTS;
}

image_kind read_image_header(const unsigned char* data, size_t size, uint32_t* width, uint32_t* height)
{
    static const unsigned char png[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    *width = *height = 0;
    if (size >= 2 && data[0] == 0xff && data[1] == 0xd8) {
        read_jpeg(data, size, width, height);
        return KIND_JPEG;
    }
    if (size < sizeof png || memcmp(data, png, sizeof png) != 0)
        return KIND_OTHER;
    if (size >= 24) { /* the first chunk is IHDR, or libpng refuses the file */
        *width = big_endian(data + 16, 4);
        *height = big_endian(data + 20, 4);
    }
    return KIND_PNG;
}
