// The ONNX function `YolactMaskAssembly` as an op for plugin.h. Tensors, types and attributes: README.md beside this
// file.
#pragma once

#include "mask_assembly/mask_assembly.h"
#include "tensorrt/fields.h"
#include "tensorrt/signature.h"

namespace yolact {

class MaskAssembly {
public:
    using Params = YolactMaskAssemblyParams;

    static const Signature kSignature;
    static constexpr auto check = yolact_mask_assembly_check;

    static size_t workspace(const Params*) { return 0; }
    static cudaError_t enqueue(
        const Params& params, const void* const* inputs, void* const* outputs, void* workspace, cudaStream_t stream);

    Attributes attributes();
    Sizes sizes() const { return {}; }
    Params params(const Sizes& sizes, int32_t type) const;

private:
    int32_t crop_padding_ = 0;
};

}  // namespace yolact
