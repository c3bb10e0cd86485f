/* loads_late LIBRARY ENGINE: loads the library as a plug-in, whose symbols other libraries do not see; NumPy must run
 * all the same. */
#include <dlfcn.h>
#include <stdio.h>
#include <yolact.h>

typedef yolact_status (*open_function)(const char*, const yolact_options*, yolact_handle*);
typedef const char* (*error_function)(void);

int main(int argc, char** argv)
{
    void* library = argc == 3 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!library) {
        fprintf(stderr, "%s\n", argc == 3 ? dlerror() : "usage: loads_late LIBRARY ENGINE");
        return 1;
    }
    union {
        void* address;
        open_function open;
        error_function error;
    } open = {dlsym(library, "yolact_open")}, error = {dlsym(library, "yolact_last_error")};
    yolact_handle handle;
    yolact_status status = open.open(argv[2], NULL, &handle);
    if (status != YOLACT_OK)
        fprintf(stderr, "%s\n", error.error());
    return (int)status;
}
