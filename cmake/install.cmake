# What `cmake --install` puts where. Everything finds everything else from its own place, so a prefix can be moved.
#   bin/sensorium   lib/sensorium/{fetch,tls,tls-crypto}.so   lib/sensorium/plugins/*.so, video-codec/ffmpeg.so
#   include/sensorium/   lib/pkgconfig/sensorium.pc   lib/cmake/sensorium/
include(CMakePackageConfigHelpers)
install(TARGETS sensorium DESTINATION bin)
install(TARGETS fetch tls tls-crypto DESTINATION lib/sensorium)
foreach(plugin IN LISTS SN_PLUGINS)
  install(TARGETS ${plugin} DESTINATION lib/sensorium/plugins)
endforeach()
install(DIRECTORY ${CMAKE_SOURCE_DIR}/modalities/abi/ DESTINATION include/sensorium FILES_MATCHING PATTERN "*.h")

configure_file(${CMAKE_CURRENT_LIST_DIR}/sensorium.pc.in ${CMAKE_BINARY_DIR}/install/sensorium.pc @ONLY)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/install/sensorium-config-version.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${CMAKE_BINARY_DIR}/install/sensorium.pc DESTINATION lib/pkgconfig)
install(FILES ${CMAKE_BINARY_DIR}/install/sensorium-config-version.cmake ${CMAKE_CURRENT_LIST_DIR}/sensorium-config.cmake
  DESTINATION lib/cmake/sensorium)
