#include "tensorrt/creators.h"

#include "fast_nms/fast_nms_plugin.h"
#include "mask_assembly/mask_assembly_plugin.h"
#include "tensorrt/plugin.h"

namespace yolact {

nvinfer1::IPluginCreatorInterface* const* creators(int32_t& count) noexcept
{
    static Creator<FastNms> fastNms;
    static Creator<MaskAssembly> maskAssembly;
    static nvinfer1::IPluginCreatorInterface* const all[] = {&fastNms, &maskAssembly};
    count = sizeof all / sizeof all[0];
    return all;
}

}  // namespace yolact
