// How TensorRT describes tensors to a plugin. Only those values of its enumerations are named that the plugins tell
// apart.
//
// These headers stand for NVIDIA's, which no package of pip has: they declare what crosses the border between TensorRT
// and a plugin, with the names and the layout that TensorRT 10.0 to 11.1 and TensorRT for RTX 1 have in common. Class
// names are part of that border, so they are NVIDIA's. tests/plugins/test_tensorrt_abi.py holds them to it.
#pragma once

#include <cstdint>

namespace nvinfer1 {

enum class DataType : int32_t { kFLOAT = 0, kHALF, kINT8, kINT32, kBOOL, kUINT8, kBF16 = 7, kINT64 };

enum class TensorFormat : int32_t { kLINEAR = 0 };

// A shape; a size of -1 is not known yet.
class Dims64 {
public:
    static constexpr int32_t MAX_DIMS = 8;

    int32_t nbDims;
    int64_t d[MAX_DIMS];
};

using Dims = Dims64;

struct PluginTensorDesc {
    Dims dims;
    DataType type;
    TensorFormat format;
    float scale;  // of INT8 tensors
};

// A tensor while an engine is built: its shape as far as it is known, and what the optimization profile allows.
struct DynamicPluginTensorDesc {
    PluginTensorDesc desc;
    Dims min;
    Dims max;
    Dims opt;
};

}  // namespace nvinfer1
