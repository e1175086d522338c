-- What a bill was read by is kept with it: the manifest of every file is in delivery_manifest, and is
-- what was delivered, to the byte. Otherwise nobody could show later why these files were the bill.
select
    d.x_Source,
    d.x_SourceFile,
    d.x_Manifest,
    m.x_Sha256 as kept,
    sha256(m.x_Content) as found
from delivery as d
left join delivery_manifest as m on m.x_Source = d.x_Source and m.x_Manifest = d.x_Manifest
where d.x_Manifest is not null
    and (m.x_Sha256 is distinct from sha256(m.x_Content) or m.x_Sha256 is null)
order by d.x_Source, d.x_SourceFile
