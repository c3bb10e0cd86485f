# CMAKE_CUDA_ARCHITECTURES, where it is not given: machine code for every GPU that TensorRT 10 and later run on, as far
# as the compiler knows it, and PTX of the newest for later ones.

# project() would set a default of its own, so what was given is remembered before it.
set(YOLACT_ARCHITECTURES_GIVEN FALSE)
if(DEFINED CMAKE_CUDA_ARCHITECTURES OR DEFINED ENV{CUDAARCHS})
    set(YOLACT_ARCHITECTURES_GIVEN TRUE)
endif()

function(yolact_default_cuda_architectures)
    if(YOLACT_ARCHITECTURES_GIVEN)
        return()
    endif()
    execute_process(
        COMMAND ${CMAKE_CUDA_COMPILER} --list-gpu-code
        OUTPUT_VARIABLE known
        COMMAND_ERROR_IS_FATAL ANY)
    set(architectures "")
    foreach(number 75 80 86 87 89 90 100 103 110 120 121)
        if(known MATCHES "sm_${number}([^0-9]|$)")
            list(APPEND architectures ${number}-real)
            set(newest ${number})
        endif()
    endforeach()
    list(APPEND architectures ${newest}-virtual)
    message(STATUS "CUDA architectures: ${architectures}")
    set(CMAKE_CUDA_ARCHITECTURES ${architectures} CACHE STRING "GPUs to compile for" FORCE)
    set(CMAKE_CUDA_ARCHITECTURES ${architectures} PARENT_SCOPE)
endfunction()
