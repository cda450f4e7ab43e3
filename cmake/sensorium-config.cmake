# find_package(sensorium): the plugin contract, as installed.
#   sensorium::abi                          the headers, <sensorium/...>
#   sensorium_add_plugin(NAME SOURCE...)    NAME.so that exports sn_plugin_entry_1 and nothing else
#   SENSORIUM_PLUGIN_DIR                    where this installation looks for plugins
get_filename_component(_sensorium_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(SENSORIUM_PLUGIN_DIR "${_sensorium_prefix}/lib/sensorium/plugins")
if(NOT TARGET sensorium::abi)
  add_library(sensorium::abi INTERFACE IMPORTED)
  set_target_properties(sensorium::abi PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${_sensorium_prefix}/include")
endif()

function(sensorium_add_plugin name)
  add_library(${name} MODULE ${ARGN})
  set_target_properties(${name} PROPERTIES PREFIX "" C_STANDARD 17 C_VISIBILITY_PRESET hidden)
  target_link_options(${name} PRIVATE -Wl,--exclude-libs,ALL)
  target_link_libraries(${name} PRIVATE sensorium::abi)
endfunction()
unset(_sensorium_prefix)
