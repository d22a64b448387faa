# make install, and what find_package(realm) reads.
include(CMakePackageConfigHelpers)

install(TARGETS realm EXPORT realmTargets
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/realm DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(REALM_BUILD_PROGRAMS)
  # The programs find ONNX Runtime where it lay when they were built.
  set_target_properties(realm_score realm_map PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
  install(TARGETS realm_score realm_map RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

set(REALM_CONFIG_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/realm)
install(EXPORT realmTargets NAMESPACE realm:: DESTINATION ${REALM_CONFIG_DIR})
configure_package_config_file(cmake/realmConfig.cmake.in "${PROJECT_BINARY_DIR}/realmConfig.cmake"
  INSTALL_DESTINATION ${REALM_CONFIG_DIR})
write_basic_package_version_file("${PROJECT_BINARY_DIR}/realmConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/realmConfig.cmake" "${PROJECT_BINARY_DIR}/realmConfigVersion.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/RealmOnnxRuntime.cmake" DESTINATION ${REALM_CONFIG_DIR})
