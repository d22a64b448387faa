# make install, and what find_package(realm) reads.
include(CMakePackageConfigHelpers)

install(TARGETS realm EXPORT realmTargets
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/realm DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(REALM_BUILD_PROGRAMS)
  set_target_properties(realm_host PROPERTIES
    INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}" INSTALL_RPATH_USE_LINK_PATH ON)
  install(TARGETS realm_host RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(REALM_ONNXRUNTIME_LIBRARY AND WIN32)
  # Windows looks for it beside the programs.
  get_filename_component(folder "${REALM_ONNXRUNTIME_LIBRARY}" DIRECTORY)
  file(GLOB providers "${folder}/onnxruntime*.dll")
  install(FILES ${providers} DESTINATION ${CMAKE_INSTALL_BINDIR})
  file(GLOB import "${folder}/onnxruntime.lib")
  install(FILES ${import} DESTINATION ${CMAKE_INSTALL_LIBDIR})
elseif(REALM_ONNXRUNTIME_LIBRARY)
  # ONNX Runtime goes along, with the providers that it loads from its own folder: a wheel or archive may vanish.
  install(FILES "${REALM_ONNXRUNTIME_LIBRARY}" DESTINATION ${CMAKE_INSTALL_LIBDIR} RENAME libonnxruntime.so.1
    PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  get_filename_component(folder "${REALM_ONNXRUNTIME_LIBRARY}" DIRECTORY)
  file(GLOB providers "${folder}/libonnxruntime_providers_*.so")
  install(PROGRAMS ${providers} DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()

set(REALM_CONFIG_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/realm)
install(EXPORT realmTargets NAMESPACE realm:: DESTINATION ${REALM_CONFIG_DIR})
configure_package_config_file(cmake/realmConfig.cmake.in "${PROJECT_BINARY_DIR}/realmConfig.cmake"
  INSTALL_DESTINATION ${REALM_CONFIG_DIR})
write_basic_package_version_file("${PROJECT_BINARY_DIR}/realmConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/realmConfig.cmake" "${PROJECT_BINARY_DIR}/realmConfigVersion.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/RealmLcms.cmake" "${PROJECT_SOURCE_DIR}/cmake/RealmOnnxRuntime.cmake"
  DESTINATION ${REALM_CONFIG_DIR})
