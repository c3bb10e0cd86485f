// The objects that TensorRT hands to a plugin: a logger, and expressions that stand for sizes.
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace host_plugins {

inline std::string messages;  // what plugins have logged

struct Logger final : nvinfer1::ILogger {
    void log(Severity severity, const char* message) noexcept override
    {
        messages += (severity == Severity::kERROR ? "" : "not an error: ") + std::string(message) + "\n";
    }
};

struct LoggerFinder final : nvinfer1::ILoggerFinder {
    nvinfer1::ILogger* findLogger() override
    {
        static Logger logger;
        return &logger;
    }
};

struct Expression final : nvinfer1::IDimensionExpr {
    struct Value final : nvinfer1::apiv::VDimensionExpr {
        explicit Value(int64_t value) : value(value) {}
        bool isConstant() const override { return value >= 0; }
        int64_t getConstantValue() const override { return isConstant() ? value : (std::abort(), 0); }
        bool isSizeTensor() const override { return false; }

        int64_t value;
    };

    explicit Expression(int64_t value) : value(value) { mImpl = &this->value; }

    Value value;
};

struct ExpressionBuilder final : nvinfer1::IExprBuilder {
    struct Builder final : nvinfer1::apiv::VExprBuilder {
        const nvinfer1::IDimensionExpr* constant(int64_t value) override
        {
            made.push_back(std::make_unique<Expression>(value));
            return made.back().get();
        }
        const nvinfer1::IDimensionExpr* operation(
            nvinfer1::DimensionOperation, const nvinfer1::IDimensionExpr&, const nvinfer1::IDimensionExpr&) override
        {
            return nullptr;
        }
        const nvinfer1::IDimensionExpr* declareSizeTensor(
            int32_t, const nvinfer1::IDimensionExpr&, const nvinfer1::IDimensionExpr&) override
        {
            return nullptr;
        }

        std::vector<std::unique_ptr<Expression>> made;
    };

    ExpressionBuilder() { mImpl = &builder; }

    Builder builder;
};

}  // namespace host_plugins
