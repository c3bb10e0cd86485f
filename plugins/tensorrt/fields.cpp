#include "tensorrt/fields.h"

#include <cstring>

#include "tensorrt/diagnostics.h"

namespace yolact {
namespace {

using nvinfer1::PluginField;
using nvinfer1::PluginFieldCollection;
using nvinfer1::PluginFieldType;

const PluginField* find(const PluginFieldCollection* fields, const char* name)
{
    for (int32_t i = 0; fields != nullptr && i < fields->nbFields; ++i) {
        if (fields->fields[i].name != nullptr && std::strcmp(fields->fields[i].name, name) == 0) {
            return &fields->fields[i];
        }
    }
    return nullptr;
}

const char* nameOf(PluginFieldType type)
{
    switch (type) {
    case PluginFieldType::kFLOAT32: return "a float";
    case PluginFieldType::kINT32: return "an integer";
    default: return "of another type";
    }
}

}  // namespace

PluginFieldType Attribute::type() const
{
    return real != nullptr ? PluginFieldType::kFLOAT32 : PluginFieldType::kINT32;
}

void* Attribute::value() const { return real != nullptr ? static_cast<void*>(real) : integer; }

bool readAttributes(const char* op, const Attributes& attributes, const PluginFieldCollection* fields)
{
    for (const Attribute& attribute : attributes) {
        const PluginField* field = find(fields, attribute.name);
        if (field == nullptr || field->data == nullptr) {
            return refuse(
                "%s: the attribute %s is missing; export the model again with yolact-export", op, attribute.name);
        }
        if (field->type != attribute.type()) {
            return refuse(
                "%s: the attribute %s should be %s, but is %s", op, attribute.name, nameOf(attribute.type()),
                nameOf(field->type));
        }
        if (field->length != 1) {
            return refuse("%s: the attribute %s should be one number, but is %d", op, attribute.name, field->length);
        }
        static_assert(sizeof(float) == sizeof(int32_t), "one size for both kinds of attribute");
        std::memcpy(attribute.value(), field->data, sizeof(float));
    }
    return true;
}

FieldList::FieldList(const Attributes& attributes, FieldData data)
{
    for (const Attribute& attribute : attributes) {
        const void* value = data == FieldData::kValues ? attribute.value() : nullptr;
        fields_.emplace_back(attribute.name, value, attribute.type(), 1);
    }
    collection_.nbFields = static_cast<int32_t>(fields_.size());
    collection_.fields = fields_.data();
}

}  // namespace yolact
