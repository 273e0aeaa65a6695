-- VERSION_CONFLICT (refusal 21) is not remembered under its key any more: asked again with the version that was seen, it is
-- decided anew. What was remembered before that would be answered for up to 30 days yet. The index on what was refused finds it.
delete from outcome where refusal = 21;
