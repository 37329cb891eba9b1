# A file of this folder as a C array that is included: embed(TARGET FILE NAME) makes NAME.inc with `NAME[]`.
add_custom_target(generated) # all of them, for what reads the sources without building
function(embed target file name)
  add_custom_command(
    OUTPUT ${CMAKE_BINARY_DIR}/${name}.inc
    COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/cmake/embed.py ${CMAKE_SOURCE_DIR}/${file} ${name}
            ${CMAKE_BINARY_DIR}/${name}.inc
    DEPENDS ${CMAKE_SOURCE_DIR}/cmake/embed.py ${CMAKE_SOURCE_DIR}/${file})
  target_sources(${target} PRIVATE ${CMAKE_BINARY_DIR}/${name}.inc)
  add_custom_target(embed_${name} DEPENDS ${CMAKE_BINARY_DIR}/${name}.inc)
  add_dependencies(generated embed_${name})
endfunction()
