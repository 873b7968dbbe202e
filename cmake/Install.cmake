# `cmake --install build/release --prefix DIR`, and two Debian packages by `cpack`: coditect (the
# program with its systemd units) and coditect-dev (find_package(coditect)).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME dev)

install(TARGETS coditect RUNTIME DESTINATION bin COMPONENT runtime)
install(FILES packaging/coditect-api.service packaging/coditect-api.socket
  DESTINATION lib/systemd/system COMPONENT runtime)
install(FILES LICENSE README.md DESTINATION share/doc/coditect COMPONENT runtime)
# Only packages write to /etc.
install(FILES packaging/coditect.toml DESTINATION /etc/coditect COMPONENT runtime EXCLUDE_FROM_ALL)

get_property(libraries GLOBAL PROPERTY CODITECT_LIBRARIES)
list(APPEND libraries coditect_app coditect_testing coditect_boost coditect_options)
foreach(library IN LISTS libraries)
  string(REPLACE coditect_ "" short ${library})
  set_target_properties(${library} PROPERTIES EXPORT_NAME ${short})
endforeach()
set_target_properties(coditect_app PROPERTIES EXPORT_NAME coditect)
install(TARGETS ${libraries} EXPORT coditect ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/coditect
  COMPONENT dev)
install(EXPORT coditect FILE coditectTargets.cmake NAMESPACE coditect::
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/coditect COMPONENT dev)
install(DIRECTORY src/ DESTINATION include/coditect COMPONENT dev FILES_MATCHING PATTERN "*.h")
configure_package_config_file(cmake/coditectConfig.cmake.in ${CMAKE_BINARY_DIR}/coditectConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/coditect)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/coditectConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/coditectConfig.cmake ${CMAKE_BINARY_DIR}/coditectConfigVersion.cmake
  cmake/CompilerProbe.cmake cmake/compiler_probe.cc cmake/EmbedFiles.cmake cmake/embed_script.cmake
  cmake/CoditectProgram.cmake cmake/CoditectApplication.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/coditect COMPONENT dev)

set(CODITECT_BUILD_NUMBER "" CACHE STRING "Appended to the packages' version, as in 0.1.0+123")
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME coditect)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION}${CODITECT_BUILD_NUMBER})
set(CPACK_PACKAGE_CONTACT "The Coditect maintainers <maintainers@coditect.example>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Multi-tenant application platform on PostgreSQL and Citus")
set(CPACK_DEBIAN_PACKAGE_SECTION web)
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL runtime dev)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS OFF)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME coditect)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_DEPENDS "passwd")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_RECOMMENDS "ca-certificates")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SUGGESTS "postgresql (>= 15), redis-server")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA
  "${CMAKE_SOURCE_DIR}/packaging/postinst;${CMAKE_SOURCE_DIR}/packaging/prerm;${CMAKE_SOURCE_DIR}/packaging/postrm;${CMAKE_SOURCE_DIR}/packaging/conffiles")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_DEV_PACKAGE_NAME coditect-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS
  "coditect (= ${CPACK_PACKAGE_VERSION}), clang-19, lld-19, cmake, libboost1.81-dev | libboost-dev, libboost-json1.81-dev | libboost-json-dev, libpq-dev, libssl-dev, libargon2-dev, libjemalloc-dev, libfmt-dev, libtomlplusplus-dev, prometheus-cpp-dev")
include(CPack)
