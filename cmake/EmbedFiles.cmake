# coditect_embed(OUT.cc NAMESPACE::FUNCTION file...) writes a C++ file with
#   std::span<const EmbeddedFile> FUNCTION()
# so that the program carries its migrations and pages and needs no files at run time.
function(coditect_embed target out function)
  set(inputs ${ARGN})
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${out})
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DFUNCTION=${function} "-DINPUTS=${inputs}"
            -DROOT=${CMAKE_SOURCE_DIR} -P ${CMAKE_SOURCE_DIR}/cmake/embed_script.cmake
    DEPENDS ${inputs} ${CMAKE_SOURCE_DIR}/cmake/embed_script.cmake
    VERBATIM)
  target_sources(${target} PRIVATE ${output})
endfunction()
