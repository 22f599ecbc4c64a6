// Leaves what a C or C++ program needs to link with the engine: header, static library and a CMake package (docs/c-api.md).
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageFolder } from './engine-sources.mjs';

const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8'));

const config = `# DgconvEdge::dgconv_edge, a static library: find_package(DgconvEdge) and link with it.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
get_filename_component(_dgconv_prefix "\${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET DgconvEdge::dgconv_edge)
  add_library(DgconvEdge::dgconv_edge STATIC IMPORTED)
  set_target_properties(DgconvEdge::dgconv_edge PROPERTIES
    IMPORTED_LOCATION "\${_dgconv_prefix}/lib/libdgconv_edge.a"
    INTERFACE_INCLUDE_DIRECTORIES "\${_dgconv_prefix}/include"
    INTERFACE_LINK_LIBRARIES "Threads::Threads;m")
endif()
unset(_dgconv_prefix)
`;

/** A version is compatible with those of the same minor (before 1.0) or major that are not newer. */
const versionFile = `set(PACKAGE_VERSION "${version}")
string(REGEX MATCH "^[0-9]+\\\\.[0-9]+" _dgconv_minor "\${PACKAGE_VERSION}")
if(PACKAGE_FIND_VERSION_COUNT GREATER 1)
  set(_dgconv_wanted "\${PACKAGE_FIND_VERSION_MAJOR}.\${PACKAGE_FIND_VERSION_MINOR}")
else()
  set(_dgconv_wanted "\${_dgconv_minor}")
endif()
if(PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION OR NOT _dgconv_wanted STREQUAL _dgconv_minor)
  set(PACKAGE_VERSION_COMPATIBLE FALSE)
else()
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
  if(PACKAGE_FIND_VERSION STREQUAL PACKAGE_VERSION)
    set(PACKAGE_VERSION_EXACT TRUE)
  endif()
endif()
`;

/** Writes `<folder>/sdk/{include,lib}`, a prefix for CMAKE_PREFIX_PATH, around the static library of a build. */
export function leaveCmakePackage(folder, archive) {
  const prefix = join(folder, 'sdk');
  const cmake = join(prefix, 'lib/cmake/DgconvEdge');
  for (const name of [join(prefix, 'include'), cmake]) mkdirSync(name, { recursive: true });
  copyFileSync(join(packageFolder, 'include/dgconv_edge.h'), join(prefix, 'include/dgconv_edge.h'));
  copyFileSync(archive, join(prefix, 'lib/libdgconv_edge.a'));
  writeFileSync(join(cmake, 'DgconvEdgeConfig.cmake'), config);
  writeFileSync(join(cmake, 'DgconvEdgeConfigVersion.cmake'), versionFile);
}
