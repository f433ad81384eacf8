#pragma once

#include <caf/type_id.hpp>

// What the messages of wire.hpp begin with. Inside the node the same words are used.
#define LLMOS_ATOM(name) CAF_ADD_ATOM(llmos_wire_atoms, llmos::atom, name, #name)

CAF_BEGIN_TYPE_ID_BLOCK(llmos_wire_atoms, caf::first_custom_type_id + 900)
LLMOS_ATOM(submit)
LLMOS_ATOM(cancel)
LLMOS_ATOM(encode)
LLMOS_ATOM(decode)
LLMOS_ATOM(load)
LLMOS_ATOM(unload)
LLMOS_ATOM(list)
LLMOS_ATOM(ps)
LLMOS_ATOM(stats)
LLMOS_ATOM(status)
LLMOS_ATOM(watch)
LLMOS_ATOM(hello)
LLMOS_ATOM(ack)
LLMOS_ATOM(chunk)
LLMOS_ATOM(done)
LLMOS_ATOM(failed)
CAF_END_TYPE_ID_BLOCK(llmos_wire_atoms)
#undef LLMOS_ATOM
