# What CMake must be told about ROS packages that came as wheels.

# Sets `out` to the prefix (the folder with share/ament_index) that the wheels were installed into.
# pip builds in an environment of its own, so it is asked from a package there, not from sys.prefix.
function(ros_wheels_find_prefix out)
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  set(script "
import pathlib, ament_index_python
for folder in pathlib.Path(ament_index_python.__file__).resolve().parents:
    if (folder / 'share' / 'ament_index').is_dir():
        print(folder)
        break
else:
    raise SystemExit('no share/ament_index above ' + ament_index_python.__file__)
")
  execute_process(
    COMMAND "${Python3_EXECUTABLE}" -c "${script}"
    OUTPUT_VARIABLE prefix
    OUTPUT_STRIP_TRAILING_WHITESPACE
    COMMAND_ERROR_IS_FATAL ANY
  )
  message(STATUS "ROS wheels: ${prefix}")
  set(${out} "${prefix}" PARENT_SCOPE)
endfunction()

# The wheels' CMake targets still name Python headers and libraries of the machine that built the
# wheels (/opt/python/..., /usr/lib64/...). CMake refuses include folders that do not exist, and
# the linker refuses such libraries. The headers are replaced by this build's own; the libraries
# are dropped, because the wheels' shared objects carry what they need themselves.
function(ros_wheels_repair_imported_targets)
  find_package(Python3 REQUIRED COMPONENTS Interpreter Development.Module NumPy)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(folders)
      set(kept "")
      foreach(folder IN LISTS folders)
        if(IS_ABSOLUTE "${folder}" AND NOT EXISTS "${folder}")
          list(APPEND kept ${Python3_INCLUDE_DIRS} ${Python3_NumPy_INCLUDE_DIRS})
        else()
          list(APPEND kept "${folder}")
        endif()
      endforeach()
      list(REMOVE_DUPLICATES kept)
      set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${kept}")
    endif()

    get_target_property(libraries ${target} INTERFACE_LINK_LIBRARIES)
    if(libraries)
      set(kept "")
      foreach(library IN LISTS libraries)
        if(NOT IS_ABSOLUTE "${library}" OR EXISTS "${library}")
          list(APPEND kept "${library}")
        endif()
      endforeach()
      set_target_properties(${target} PROPERTIES INTERFACE_LINK_LIBRARIES "${kept}")
    endif()
  endforeach()
endfunction()
