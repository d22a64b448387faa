# Finds Little CMS, which brings no CMake package, and defines lcms2::lcms2 where it is there.
if(NOT TARGET lcms2::lcms2)
  find_path(LCMS2_INCLUDE_DIR lcms2.h)
  find_library(LCMS2_LIBRARY NAMES lcms2 lcms)
  mark_as_advanced(LCMS2_INCLUDE_DIR LCMS2_LIBRARY)
  if(LCMS2_INCLUDE_DIR AND LCMS2_LIBRARY)
    add_library(lcms2::lcms2 UNKNOWN IMPORTED)
    set_target_properties(lcms2::lcms2 PROPERTIES
      IMPORTED_LOCATION "${LCMS2_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${LCMS2_INCLUDE_DIR}")
  endif()
endif()
