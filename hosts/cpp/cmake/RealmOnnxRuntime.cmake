# Finds ONNX Runtime's shared library and defines onnxruntime::onnxruntime. In this order:
#   ONNXRUNTIME_LIBRARY  the library itself, such as the one in the Python wheel (onnxruntime/capi/); with our headers
#   ONNXRUNTIME_ROOT     an unpacked release archive: include/ and lib/
#   find_package(onnxruntime CONFIG)
# Headers of an older version work with a newer library: ONNX Runtime keeps its C interface.

set(ONNXRUNTIME_ROOT "" CACHE PATH "Unpacked release of ONNX Runtime")
set(ONNXRUNTIME_LIBRARY "" CACHE FILEPATH "libonnxruntime.so itself, used with the headers that come with REALM")

function(realm_import_onnxruntime library include)
  get_filename_component(library "${library}" REALPATH)
  if(WIN32)
    # `library` is onnxruntime.dll or onnxruntime.lib, both in one folder but for the wheel, which has no .lib: MinGW links
    # the .dll itself.
    get_filename_component(home "${library}" DIRECTORY)
    add_library(onnxruntime::onnxruntime SHARED IMPORTED GLOBAL)
    set(linked "${home}/onnxruntime.lib")
    if(NOT EXISTS "${linked}")
      set(linked "${home}/onnxruntime.dll")
    endif()
    set_target_properties(onnxruntime::onnxruntime PROPERTIES
      IMPORTED_LOCATION "${home}/onnxruntime.dll" IMPORTED_IMPLIB "${linked}")
    if(EXISTS "${include}")
      set_target_properties(onnxruntime::onnxruntime PROPERTIES
        INTERFACE_INCLUDE_DIRECTORIES "${include}" INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${include}")
    endif()
    set(REALM_ONNXRUNTIME_LIBRARY "${home}/onnxruntime.dll" PARENT_SCOPE)
    return()
  endif()
  # The library is linked by the name it gives itself, libonnxruntime.so.1, which a wheel has no file of.
  set(folder "${PROJECT_BINARY_DIR}/onnxruntime")
  file(MAKE_DIRECTORY "${folder}")
  foreach(name libonnxruntime.so libonnxruntime.so.1)
    file(CREATE_LINK "${library}" "${folder}/${name}" SYMBOLIC)
  endforeach()
  # Where the programs look for it: its own folder if that has the name, else the folder of links.
  get_filename_component(home "${library}" DIRECTORY)
  if(NOT EXISTS "${home}/libonnxruntime.so.1")
    set(home "${folder}")
  endif()
  add_library(onnxruntime::onnxruntime SHARED IMPORTED GLOBAL)
  set_target_properties(onnxruntime::onnxruntime PROPERTIES
    IMPORTED_LOCATION "${home}/libonnxruntime.so.1" IMPORTED_SONAME libonnxruntime.so.1)
  if(EXISTS "${include}")  # an installed realm links the library and needs no headers
    set_target_properties(onnxruntime::onnxruntime PROPERTIES
      INTERFACE_INCLUDE_DIRECTORIES "${include}" INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${include}")
  endif()
  set(REALM_ONNXRUNTIME_LIBRARY "${library}" PARENT_SCOPE)
endfunction()

if(NOT TARGET onnxruntime::onnxruntime)
  if(ONNXRUNTIME_LIBRARY)
    if(NOT EXISTS "${ONNXRUNTIME_LIBRARY}")
      message(FATAL_ERROR "ONNXRUNTIME_LIBRARY: ${ONNXRUNTIME_LIBRARY} does not exist")
    endif()
    realm_import_onnxruntime("${ONNXRUNTIME_LIBRARY}" "${CMAKE_CURRENT_LIST_DIR}/../third_party/onnxruntime")
  elseif(ONNXRUNTIME_ROOT)
    find_library(REALM_ORT_FOUND onnxruntime PATHS "${ONNXRUNTIME_ROOT}" PATH_SUFFIXES lib lib64 NO_DEFAULT_PATH)
    find_path(REALM_ORT_INCLUDE onnxruntime_cxx_api.h PATHS "${ONNXRUNTIME_ROOT}"
              PATH_SUFFIXES include include/onnxruntime include/onnxruntime/core/session NO_DEFAULT_PATH)
    if(NOT REALM_ORT_FOUND OR NOT REALM_ORT_INCLUDE)
      message(FATAL_ERROR "ONNXRUNTIME_ROOT: no include/ and lib/ of ONNX Runtime in ${ONNXRUNTIME_ROOT}")
    endif()
    realm_import_onnxruntime("${REALM_ORT_FOUND}" "${REALM_ORT_INCLUDE}")
  else()
    find_package(onnxruntime CONFIG QUIET)
    if(NOT TARGET onnxruntime::onnxruntime)
      message(FATAL_ERROR "ONNX Runtime not found. Give -DONNXRUNTIME_ROOT=<unpacked release>, "
        "-DONNXRUNTIME_LIBRARY=<.../onnxruntime/capi/libonnxruntime.so.x.y.z of the Python wheel>, "
        "or install its CMake package.")
    endif()
  endif()
endif()
