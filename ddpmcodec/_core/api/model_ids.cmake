# DDPMCODEC_MODEL_IDS: names of the embedded models and the SHA-256 of their files, as "name=digits,...", which tell embedded models from others.
set(ids_file "${CMAKE_CURRENT_LIST_DIR}/../../models/ids.json")
file(READ "${ids_file}" ids)
string(REGEX MATCHALL "\"[^\"]+\": *\"[0-9a-f]+\"" ids "${ids}")
string(REGEX REPLACE "\": *\"" "=" ids "${ids}")
string(REPLACE "\"" "" ids "${ids}")
string(REPLACE ";" "," DDPMCODEC_MODEL_IDS "${ids}")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${ids_file}")
