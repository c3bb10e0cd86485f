// The ONNX function `YolactFastNms` as an op for plugin.h. Tensors, types and attributes: README.md beside this file.
#pragma once

#include "fast_nms/fast_nms.h"
#include "tensorrt/fields.h"
#include "tensorrt/signature.h"

namespace yolact {

class FastNms {
public:
    using Params = YolactFastNmsParams;

    static const Signature kSignature;
    static constexpr auto check = yolact_fast_nms_check;
    static constexpr auto workspace = yolact_fast_nms_workspace;

    static cudaError_t enqueue(
        const Params& params, const void* const* inputs, void* const* outputs, void* workspace, cudaStream_t stream);

    Attributes attributes();
    Sizes sizes() const;
    Params params(const Sizes& sizes, int32_t type) const;

private:
    Params settings_{};  // the fields that are attributes; `params` adds sizes and type
};

}  // namespace yolact
