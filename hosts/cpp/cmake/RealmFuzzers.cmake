# The fuzzers, a program for each source in tests/fuzz. Clang's libFuzzer finds its way by what was covered; for other
# compilers driver.cpp changes the files of a corpus without looking. They hold the decoders and the reader of manifests
# alone, built once more: nothing here needs ONNX Runtime, or is there for anyone else.
add_library(realm_fuzzed STATIC EXCLUDE_FROM_ALL
  src/bundle.cpp src/files.cpp ${REALM_FILES_SOURCE} src/source.cpp src/image.cpp src/image_jpeg.cpp src/image_png.cpp src/jpeg_scans.cpp src/json.cpp src/manifest.cpp
  src/manifest_columns.cpp src/manifest_measures.cpp src/onnx_scan.cpp src/png_chunks.cpp src/sha256.cpp src/text_format.cpp src/unicode.cpp
  ${REALM_COLOUR_SOURCE})
target_include_directories(realm_fuzzed PUBLIC include src)
target_include_directories(realm_fuzzed SYSTEM PRIVATE third_party)
target_link_libraries(realm_fuzzed PRIVATE realm_settings JPEG::JPEG PNG::PNG)
if(TARGET lcms2::lcms2)
  target_link_libraries(realm_fuzzed PRIVATE lcms2::lcms2)
endif()
if(REALM_SANITIZE)
  target_link_options(realm_fuzzed PUBLIC -fsanitize=${REALM_SANITIZE})
endif()

add_custom_target(fuzzers)
foreach(name png jpeg manifest)
  add_executable(fuzz_${name} EXCLUDE_FROM_ALL tests/fuzz/${name}.cpp)
  target_include_directories(fuzz_${name} SYSTEM PRIVATE third_party)
  target_link_libraries(fuzz_${name} PRIVATE realm_fuzzed realm_settings)
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(fuzz_${name} PRIVATE tests/fuzz/driver.cpp)
  endif()
  add_dependencies(fuzzers fuzz_${name})
endforeach()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(realm_fuzzed PRIVATE -fsanitize=fuzzer-no-link)
endif()
