# sn_plugin(NAME SOURCE...): a plugin of this tree, NAME.so, that exports sn_plugin_entry_1 and nothing else. What it needs beside the
# contract and modalities/kit it links itself.
function(sn_plugin name)
	add_library(${name} MODULE ${ARGN})
	set_target_properties(${name} PROPERTIES PREFIX "" C_STANDARD 17 C_EXTENSIONS OFF C_VISIBILITY_PRESET hidden
		LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/plugins LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/plugin.map)
	target_link_options(${name} PRIVATE -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/plugin.map -Wl,--exclude-libs,ALL)
	target_link_libraries(${name} PRIVATE sn_abi sn_kit)
endfunction()
