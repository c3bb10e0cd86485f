/* What the check functions of the C interface answer with. */
#pragma once

#include <cstdarg>
#include <cstdio>

namespace yolact {

/* Formatted text that lives until the thread's next call. */
__attribute__((format(printf, 1, 2))) inline const char* sentence(const char* format, ...)
{
    thread_local char text[256];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return text;
}

/* NULL, or that `name` lies outside of [least, most]. */
inline const char* outside(const char* name, int value, int least, int most)
{
    if (value >= least && value <= most) {
        return nullptr;
    }
    return sentence("%s must be %d to %d, got %d", name, least, most, value);
}

/* The same for real numbers; NaN is outside. */
inline const char* outside(const char* name, float value, double least, double most)
{
    if (value >= least && value <= most) {
        return nullptr;
    }
    return sentence("%s must be %g to %g, got %g", name, least, most, static_cast<double>(value));
}

}  // namespace yolact
