# rtx/libtensorrt_rtx.so: TensorRT for RTX under the name that its ONNX parser asks for. Once a network has plugins, the
# parser opens "libtensorrt_rtx.so", and ends the process where there is none; the Python packages install
# libtensorrt_rtx.so.1 only. This library of that name is empty and needs the other, so whoever has loaded it gets
# TensorRT. It is linked against a stand-in for libtensorrt_rtx.so.1, which is not installed.
set(empty ${CMAKE_CURRENT_BINARY_DIR}/empty.c)
file(CONFIGURE OUTPUT ${empty} CONTENT "typedef int yolact_empty;\n")

add_library(tensorrt_rtx_stand_in SHARED ${empty})
set_target_properties(tensorrt_rtx_stand_in PROPERTIES
    OUTPUT_NAME tensorrt_rtx VERSION 1 SOVERSION 1 LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/stand_in)

add_library(tensorrt_rtx SHARED ${empty})
target_link_libraries(tensorrt_rtx PRIVATE tensorrt_rtx_stand_in)
target_link_options(tensorrt_rtx PRIVATE LINKER:--no-as-needed)
set_target_properties(tensorrt_rtx PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/rtx)
install(TARGETS tensorrt_rtx LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/rtx)
