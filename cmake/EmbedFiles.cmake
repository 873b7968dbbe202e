# coditect_embed(TARGET OUT.cc NAMESPACE::FUNCTION file...) adds a C++ file to the target with
#   std::span<const coditect::EmbeddedFile> NAMESPACE::FUNCTION()
# so that the program carries its migrations and pages and needs no files at run time. Their paths
# are relative to the project's top.
set(CODITECT_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/embed_script.cmake)
function(coditect_embed target out function)
  set(inputs ${ARGN})
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${out})
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DFUNCTION=${function} "-DINPUTS=${inputs}"
            -DROOT=${PROJECT_SOURCE_DIR} -P ${CODITECT_EMBED_SCRIPT}
    DEPENDS ${inputs} ${CODITECT_EMBED_SCRIPT}
    VERBATIM)
  target_sources(${target} PRIVATE ${output})
endfunction()
