/* The alignment of addresses, and scratch memory that is cut into arrays. */
#pragma once

#include <cstddef>
#include <cstdint>

namespace yolact {

inline bool isAligned(const void* address, size_t bytes) { return reinterpret_cast<uintptr_t>(address) % bytes == 0; }

/* Cuts one array after the other from scratch memory. With a null address it only counts the bytes. */
class WorkspaceCarver {
public:
    explicit WorkspaceCarver(void* workspace) : start_(static_cast<unsigned char*>(workspace)) {}

    /* The next array. Its address is a multiple of 256, which every access is aligned to. */
    template <typename T>
    T* take(size_t count)
    {
        constexpr size_t kAlignment = 256;
        unsigned char* address = start_ == nullptr ? nullptr : start_ + used_;
        used_ += (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
        return reinterpret_cast<T*>(address);
    }

    size_t bytes() const { return used_; }

private:
    unsigned char* start_;
    size_t used_ = 0;
};

}  // namespace yolact
